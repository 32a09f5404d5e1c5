"""What Task states do: the optimised integrations that jobs need, and any AWS API by ``aws-sdk:``."""
