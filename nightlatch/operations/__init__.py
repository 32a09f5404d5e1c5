"""What an operator can do to an installation.

Nothing here prints, prompts or exits. Every operation takes its boto3 clients as an argument, returns a typed
value, and raises `nightlatch.operations.errors.OperationError` with a stable code when it cannot do its work.
The command line and the console are two ways to show the same values.
"""
