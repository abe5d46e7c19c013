"""POST /v1/services/{service}/vectors and /v1/vectors: an entity's features as one row."""
