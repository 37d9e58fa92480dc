"""The steps of one radiograph, one file each; no step imports another."""
