"""Where keys come from: references to secrets, the environment, `.env`, Prefect blocks."""
