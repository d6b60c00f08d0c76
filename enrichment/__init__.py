"""What is found out about leads beyond what they or anybody said: by inference, and by asking other services."""
