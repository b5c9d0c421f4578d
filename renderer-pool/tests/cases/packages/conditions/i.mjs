export { self } from "#self"; import { self as again } from "conditions"; void again;
