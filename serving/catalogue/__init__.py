"""The feature catalogue: pages to find features, from a server or as a static site."""
