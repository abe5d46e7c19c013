"""POST /get-online-features: the request and the answer of Feast's feature server."""
