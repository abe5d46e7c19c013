"""Tests of forebay erase."""
