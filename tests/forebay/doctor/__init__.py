"""Tests of the checks of forebay doctor."""
