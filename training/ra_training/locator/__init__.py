"""The locator: whole image in, landmarks of every hand and kind of image out."""
