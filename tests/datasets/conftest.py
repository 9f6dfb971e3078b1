import pytest


@pytest.fixture
def csv(tmp_path):
    """Write lines into a CSV file and return its path."""

    def write(*lines, name="sales.csv", encoding="utf-8", newline="\n"):
        path = tmp_path / name
        path.write_bytes((newline.join(lines) + newline).encode(encoding))
        return path

    return write
