if (process.env.NODE_ENV === "no such environment") {
  module.exports = require("./lib/absent");
} else {
  module.exports = require("./lib/inner");
}
