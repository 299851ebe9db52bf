"""The commands of `atlvs`, by what a person wants: run it, set it up, do something, look."""
