"""Where asyncio lives: loops, queues, deadlines."""
