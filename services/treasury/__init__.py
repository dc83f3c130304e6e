"""The treasury: an organisation's journal in double entry, per fund, with the approvals its members decided on."""
