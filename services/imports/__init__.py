"""Reading the files of others: catalogues, deliveries and recall notices, turned into commands or into reasons."""
