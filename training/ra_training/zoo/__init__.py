"""The model zoo: torchvision architectures, heads, losses and schemes, and their graphs."""
