"""The scorer: canonical hand view in, damage density and bands out."""
