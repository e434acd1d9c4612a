"""What all tests share."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sb3: needs Stable-Baselines3, torch or what comes with them")
    config.addinivalue_line("markers", "slow: learns for some seconds")
