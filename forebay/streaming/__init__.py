"""`forebay stream`: events of topics into Iceberg and into the features that read them."""
