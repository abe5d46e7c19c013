"""Reading a dbt project and running dbt."""
