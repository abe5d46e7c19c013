"""The leak proof: an abstract interpretation of finished statements."""
