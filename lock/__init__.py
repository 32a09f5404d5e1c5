"""Who may run: one DynamoDB item per lock, changed only by the writes in `lock.expressions`."""
