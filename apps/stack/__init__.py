"""The whole system on one machine: embedded servers, the programs beside them, and how they are supervised."""
