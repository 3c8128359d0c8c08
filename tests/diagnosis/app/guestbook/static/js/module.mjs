export const greeting = "Welcome";
