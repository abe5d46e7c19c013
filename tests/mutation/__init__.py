"""The compiler broken on purpose, in many ways: the tests must notice each of them."""
