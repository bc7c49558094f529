"""What earlier versions of the operator made, for tests of an upgrade."""
