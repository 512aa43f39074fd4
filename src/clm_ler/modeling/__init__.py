"""The torch side; it knows nothing of Kedro and the table engines."""
