"""gbrl_rs."""
