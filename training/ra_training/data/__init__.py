"""Where images and labels come from, and the arrays that training reads."""
