"""Refusing a stale holder at the resource itself.

A lock cannot stop a process that was paused for longer than its lease and then goes on. The resource can: it
remembers the greatest token it has seen and refuses smaller ones. A new holder shows its token before its
first use (`establish`), so that the old one is refused from then on.

- `lock.fence.dynamodb`: conditions for transactions and items;
- `lock.fence.postgres`: one statement in the transaction of the data;
- `lock.fence.s3`: publishing by a manifest object with conditional writes.
"""
