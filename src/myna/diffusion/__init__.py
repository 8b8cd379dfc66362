"""From noise to latents: schedules, guidance, the loop; and pictures that stay in place."""
