"""Rules about models and adapters: where they come from, and what their download needs."""
