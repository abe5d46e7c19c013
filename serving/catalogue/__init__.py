"""The catalogue: pages for people who look for a feature, from a server or as a static site."""
