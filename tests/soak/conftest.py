"""The soak takes longest by itself, so it begins first: what begins last, the other process waits for."""


def pytest_collection_modifyitems(items):
    """Put the tests of this folder before all others."""
    items.sort(key=lambda item: "soak" not in item.path.parent.parts)
