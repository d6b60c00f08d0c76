"""Inbound doors for machines: website forms now, other senders later."""
