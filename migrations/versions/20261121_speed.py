"""Limits of speed: of organisations, shared by their transfers; and of agents."""

from alembic import op

revision = "20261121_speed"
down_revision = "20261121_people"

LIMITED = {
    "organisations": ("down_max", "up_max"),
    "agents": ("down_max", "up_max"),
    "transfers": ("down_share", "up_share", "down_rate", "up_rate"),
}


def upgrade() -> None:
    for table, columns in LIMITED.items():
        op.execute(f"ALTER TABLE {table} {', '.join(f'ADD {name} bigint NOT NULL DEFAULT 0' for name in columns)}")


def downgrade() -> None:
    for table, columns in LIMITED.items():
        op.execute(f"ALTER TABLE {table} {', '.join(f'DROP {name}' for name in columns)}")
