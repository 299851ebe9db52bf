"""Domain events go out: to Zaps and other hooks, and as Prefect events."""
