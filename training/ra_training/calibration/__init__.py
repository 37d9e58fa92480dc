"""From raw outputs to statements that hold: intervals, temperature, reliability."""
