"""The built-in scorers, through the same door as everybody's."""
