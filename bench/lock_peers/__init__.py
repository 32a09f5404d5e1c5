"""Other locks on DynamoDB, each in an environment of its own, behind one face."""
