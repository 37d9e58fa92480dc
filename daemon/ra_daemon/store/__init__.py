"""Everything durable: files, rows, the queue, the outbox. SQLAlchemy rows never leave this room."""
