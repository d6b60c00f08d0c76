"""Fixtures every test may use."""

pytest_plugins = ["tests.plugins.browser", "tests.plugins.database", "tests.fixtures"]
