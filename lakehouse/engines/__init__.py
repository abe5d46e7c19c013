"""Engines that compute over the lake's own tables, beside the embedded one."""
