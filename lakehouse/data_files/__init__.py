"""SQL that reads the data files of an Iceberg table, whoever wrote them."""
