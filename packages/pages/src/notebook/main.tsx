import { render } from "preact"
import "../style/base.css"

const Admin = () => (
  <main>
    <h1>Sealog for operators</h1>
  </main>
)

render(<Admin />, document.getElementById("app")!)
