const express = require("express"), path = require("path");
const app = express();
app.use(express.static(path.join(__dirname, "../client/dist")));
app.get("/", (q, s) => s.send("ok"));
app.listen(process.env.PORT || 5000);
