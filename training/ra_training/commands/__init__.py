"""Sub-commands of ra-train, one file each; heavy imports inside the function."""
