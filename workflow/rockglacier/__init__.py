"""Rock-glacier mapping and kinematics from space."""
